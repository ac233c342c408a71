"""The report as Encapsulated PDF in the study of the reference CT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from pipeline.dicom.export_header import RESEARCH_USE, describe, reference_to, seal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.dicom.export_header import ExportFacts, ReferenceSeries

ENCAPSULATED_PDF_STORAGE = "1.2.840.10008.5.1.4.1.1.104.1"


def encapsulated_pdf_object(
    report: bytes, reference: ReferenceSeries, facts: ExportFacts, sources: Sequence[Dataset]
) -> Dataset:
    """Return a PDF as a DICOM object.

    Parameters
    ----------
    report : bytes
        The PDF.
    reference : ReferenceSeries
    facts : ExportFacts
    sources : sequence of Dataset
        Objects of the same export that the report shows; at least one.

    Notes
    -----
    DICOM PS3.3 A.45.1 and C.24.2.
    """
    title = f"Dosimetry report cycle {facts.cycle} ({RESEARCH_USE})"
    dataset = Dataset()
    describe(dataset, reference, facts, modality="DOC", index=2, description=title)
    dataset.ConversionType = "WSD"
    dataset.AcquisitionDateTime = ""
    # The pages carry the patient key and the dates.
    dataset.BurnedInAnnotation = "YES"
    dataset.DocumentTitle = title
    dataset.ConceptNameCodeSequence = [_title_code()]
    # A signature is kept in the record; these bytes carry none.
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.SourceInstanceSequence = [reference_to(source) for source in sources]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(report)
    dataset.EncapsulatedDocument = report + b"\0" * (len(report) % 2)
    return seal(dataset, ENCAPSULATED_PDF_STORAGE)


def _title_code() -> Dataset:
    concept = codes.DCM.PatientRadiationDoseReport
    item = Dataset()
    item.CodeValue = concept.value
    item.CodingSchemeDesignator = concept.scheme_designator
    item.CodeMeaning = concept.meaning
    return item
