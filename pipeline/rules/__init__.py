"""Pure clinical rules: stop rules, toxicity grades, tumour burden; limits come from TOML with citations."""
