"""Who must know: alerts in words, on screens and in the journal."""
