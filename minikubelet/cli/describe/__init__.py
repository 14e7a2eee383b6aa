"""Objects told in full, in kubectl's layout: one module per kind, `writer` for what they share."""
