"""What is said: one pure codec per wire dialect. No input or output happens here."""
