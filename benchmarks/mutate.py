"""Mutation testing of rules, units, decay, calibration and kinetics: does a test notice each small change of the code?

Run: ``make mutate`` (about an hour on one core). ``python benchmarks/mutate.py --keep`` tries only what is new, has
changed or survived so far; ``--only 'pipeline/physics/*'`` takes a part, ``--step`` one of the two steps:

- mutmut changes the bodies of functions (``[tool.mutmut]`` of ``pyproject.toml`` names modules and tests);
- mutmut leaves the level of the module and decorated functions alone, where limits and the properties that compare
  doses with them stand. These are changed here with mutmut's own operators: numbers, operators and truth values of the
  module, everything in a property.

A mutant is *killed* if a test fails (or does not end) and *survives* otherwise, also where no test runs its function.
*Wording* is a change of the letters of a sentence, i.e. of a literal with a blank in it; the table counts all mutants
with and without those. Survivors are written to ``mutants/survivors.txt``.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.abc
import importlib.util
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libcst as cst
from libcst.metadata import MetadataWrapper

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
NEEDED_PERCENT = 90.0
# mutmut's exit codes: pytest's 1 and 3; a limit of time, or the death of the process.
KILLED = {1, 3, 36, 24, -24, 152, 255, -9, -11}
LONGEST_S = 120.0
# Kinds of nodes that are changed at the level of a module; its strings are names and texts, its calls build tables.
OF_A_MODULE = (cst.BaseNumber, cst.BinaryOperation, cst.UnaryOperation, cst.BooleanOperation, cst.Name)
# Tests of the numbers of a module; the first pattern that fits.
TESTS_OF = {
    "pipeline/rules/burden.py": ("tests/rules/test_burden.py",),
    "pipeline/rules/toxicity.py": ("tests/rules/test_toxicity.py", "tests/rules/test_toxicity_table.py"),
    "pipeline/rules/response.py": ("tests/rules/test_response.py",),
    "pipeline/rules/eligibility.py": ("tests/rules/test_response.py",),
    "pipeline/rules/limits.py": ("tests/rules/test_limits.py",),
    "pipeline/rules/*": ("tests/rules", "--ignore=tests/rules/test_decision_properties.py"),
    "pipeline/units.py": ("tests/test_units.py",),
    "pipeline/physics/quantification/calibration.py": ("tests/physics/quantify/test_calibration.py",),
    "*": tuple(
        f"tests/physics/kinetics/test_{name}.py"
        for name in ("region_ends", "curve_areas", "multi_optimum", "model_average")
    ),
}
# Imported once, before the processes that test one change each are split off.
HEAVY = ("numpy", "scipy.optimize", "scipy.special", "pytest", "sqlalchemy.orm", "pydicom")


@dataclass(frozen=True)
class Mutant:
    """One change, and whether a test noticed it."""

    module: str
    name: str
    before: str
    after: str
    killed: bool

    @property
    def is_wording(self) -> bool:
        """Tell whether only the letters of a sentence changed."""
        pairs = zip(_literals(self.before), _literals(self.after), strict=False)
        changed = [(old, new) for old, new in pairs if old != new]
        skeletons = [re.sub(r'"[^"]*"', '""', text) for text in (self.before, self.after)]
        return bool(changed) and skeletons[0] == skeletons[1] and all(" " in old for old, _ in changed)


def _literals(text: str) -> list[str]:
    return re.findall(r'"[^"]*"', text)


def settings() -> dict[str, Any]:
    """Return ``[tool.mutmut]``."""
    tool: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    return tool


def sources(tool: dict[str, Any]) -> list[str]:
    """Return the modules to change, as paths from the root."""
    paths = {str(path.relative_to(ROOT)) for pattern in tool["only_mutate"] for path in ROOT.glob(pattern)}
    return sorted(paths - set(tool["do_not_mutate"]))


# --- functions: mutmut


def forget_survivors(paths: Sequence[str]) -> None:
    """Have mutmut try again what no test has noticed so far."""
    for path in paths:
        results = ROOT / "mutants" / f"{path}.meta"
        if results.exists():
            document = json.loads(results.read_text(encoding="utf-8"))
            codes = document["exit_code_by_key"]
            document["exit_code_by_key"] = {name: code if code in KILLED else None for name, code in codes.items()}
            results.write_text(json.dumps(document), encoding="utf-8")


def run_mutmut(jobs: int, paths: Sequence[str], *, part: bool) -> None:
    """Change every function, or those of some modules."""
    names = [f"{_dotted(path)}.*" for path in paths if part]
    program = Path(sys.executable).parent / "mutmut"
    subprocess.run([program, "run", "--max-children", str(jobs), *names], cwd=ROOT, check=True)


def _dotted(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


def mutants_of_functions(paths: Sequence[str]) -> Iterator[Mutant]:
    """Read what mutmut found."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    for path in paths:
        filed = ROOT / "mutants" / f"{path}.meta"
        results = json.loads(filed.read_text(encoding="utf-8"))["exit_code_by_key"] if filed.exists() else {}
        for name, code in results.items():
            lines = get_diff_for_mutant(name, path=path).splitlines()[2:]
            before, after = ("\n".join(x[1:].strip() for x in lines if x.startswith(sign)) for sign in "-+")
            yield Mutant(path, name, before, after, code in KILLED)


# --- modules and properties: one process for each change


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from changed source; all others from the tree, which stays as it is."""

    def __init__(self, name: str, path: str, source: str) -> None:
        self._name, self._path, self._source = name, path, source

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self, origin=self._path) if fullname == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, self._path, "exec"), module.__dict__)


def _test(name: str, path: str, source: str, arguments: Sequence[str]) -> None:
    import pytest

    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    sys.meta_path.insert(0, _Changed(name, path, source))
    os._exit(int(pytest.main(["-x", "-q", *arguments])))


def _is_killed(path: str, source: str, arguments: Sequence[str]) -> bool:
    process = multiprocessing.get_context("fork").Process(target=_test, args=(_dotted(path), path, source, arguments))
    process.start()
    process.join(LONGEST_S)
    if process.exitcode is None:
        process.kill()
        process.join()
    return process.exitcode != 0


def changes_of_module(path: str) -> Iterator[tuple[int, str, str, str]]:
    """Yield (line, source line before, after, changed source of the module) of what mutmut leaves alone."""
    from mutmut.mutation.file_mutation import MutationVisitor, deep_replace
    from mutmut.mutation.mutators import mutation_operators
    from mutmut.mutation.pragma_handling import get_ignored_lines

    class WithProperties(MutationVisitor):
        def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
            if isinstance(node, cst.FunctionDef) and node.decorators:
                return False
            return bool(super()._skip_node_and_children(node))

    code = (ROOT / path).read_text(encoding="utf-8")
    wrapper = MetadataWrapper(cst.parse_module(code))
    visitor = WithProperties(mutation_operators, get_ignored_lines(path, code, wrapper), None)
    module = wrapper.visit(visitor)
    for mutation in visitor.mutations:
        owner = mutation.contained_by_top_level_function
        in_property = isinstance(owner, cst.FunctionDef) and bool(owner.decorators)
        of_module = not isinstance(owner, cst.FunctionDef) and isinstance(mutation.original_node, OF_A_MODULE)
        if in_property or of_module:
            changed = deep_replace(module, mutation.original_node, mutation.mutated_node)
            yield (*_difference(code, changed.code), changed.code)


def _difference(before: str, after: str) -> tuple[int, str, str]:
    old, new = before.splitlines(), after.splitlines()
    line = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
    return line + 1, old[line].strip(), new[line].strip()


def mutants_of_modules(paths: Sequence[str], arguments: Sequence[str], killed: Container[Mutant]) -> Iterator[Mutant]:
    """Change modules and properties and run the tests on each, but on those that are known to be killed."""
    for name in HEAVY:
        importlib.import_module(name)
    for path in paths:
        tests = [*next(tests for pattern, tests in TESTS_OF.items() if fnmatch(path, pattern)), *arguments]
        if _is_killed(path, (ROOT / path).read_text(encoding="utf-8"), tests):
            sys.exit(f"the tests of {path} fail without a change: {' '.join(tests)}")
        for line, before, after, source in changes_of_module(path):
            mutant = Mutant(path, f"{path}:{line}", before, after, killed=True)
            if mutant not in killed and not _is_killed(path, source, tests):
                mutant = replace(mutant, killed=False)
            print("." if mutant.killed else "s", end="", flush=True)
            yield mutant
    print()


def known_mutants_of_modules() -> list[Mutant]:
    """Read what earlier runs filed."""
    filed = ROOT / "mutants" / "modules.json"
    return [Mutant(**one) for one in json.loads(filed.read_text(encoding="utf-8"))] if filed.exists() else []


def file_mutants_of_modules(mutants: Sequence[Mutant]) -> None:
    """File the mutants, for the next run with ``--keep`` and for the report."""
    (ROOT / "mutants").mkdir(exist_ok=True)
    document = json.dumps([asdict(one) for one in mutants], indent=1)
    (ROOT / "mutants" / "modules.json").write_text(document, encoding="utf-8")


# --- report


def _percent(mutants: Sequence[Mutant]) -> float:
    return 100.0 * sum(m.killed for m in mutants) / len(mutants) if mutants else 100.0


def _row(label: str, mutants: Sequence[Mutant]) -> str:
    plain = [m for m in mutants if not m.is_wording]
    return (
        f"{label:44}{len(mutants):8}{sum(m.killed for m in mutants):8}{_percent(mutants):8.1f}"
        f"{len(plain):10}{sum(m.killed for m in plain):8}{_percent(plain):8.1f}"
    )


def report(mutants: Sequence[Mutant]) -> None:
    """Print the table of modules and write the survivors."""
    print(f"{'':44}{'mutants':>8}{'killed':>8}{'%':>8}{'- wording':>10}{'killed':>8}{'%':>8}")
    for module in sorted({m.module for m in mutants}):
        print(_row(module, [m for m in mutants if m.module == module]))
    print(_row("all", mutants))
    survivors = [m for m in mutants if not m.killed]
    text = "".join(
        f"{m.name}{' (wording)' if m.is_wording else ''}\n  - {m.before}\n  + {m.after}\n" for m in survivors
    )
    (ROOT / "mutants" / "survivors.txt").write_text(text, encoding="utf-8")


def main() -> int:
    """Run all mutants, print the table; 1 if fewer than 90 % are killed."""
    parser = argparse.ArgumentParser(description="mutation testing")
    parser.add_argument("--jobs", type=int, default=1, help="processes of mutmut")
    parser.add_argument("--only", default="*", help="pattern of paths, e.g. 'pipeline/rules/*'")
    parser.add_argument("--step", choices=["all", "functions", "modules", "report"], default="all")
    parser.add_argument("--keep", action="store_true", help="keep the mutants that are known to be killed")
    options = parser.parse_args()
    os.chdir(ROOT)
    os.environ["PRRT_TEST_DURATIONS"] = str(ROOT / "mutants" / "mutmut-stats.json")
    sys.path.insert(0, str(ROOT))
    tool = settings()
    paths = [path for path in sources(tool) if fnmatch(path, options.only)]
    if options.step == "all" and not options.keep:
        shutil.rmtree(ROOT / "mutants", ignore_errors=True)
    if options.step in {"all", "functions"}:
        forget_survivors(paths)
        run_mutmut(options.jobs, paths, part=options.only != "*")
    known = known_mutants_of_modules()
    if options.step in {"all", "modules"}:
        killed = {one for one in known if one.killed and options.keep}
        changed = list(mutants_of_modules(paths, tool["pytest_add_cli_args"], killed))
        known = [one for one in known if one.module not in paths] + changed
        file_mutants_of_modules(known)
    mutants = [*mutants_of_functions(paths), *(one for one in known if one.module in paths)]
    report(mutants)
    return 0 if _percent([m for m in mutants if not m.is_wording]) >= NEEDED_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
