"""The report: what is signed (`model`, CANONICAL.md), how a signed PDF is judged (`pdf_signature`)."""
