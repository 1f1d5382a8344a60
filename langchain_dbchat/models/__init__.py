"""To whom: what each model family accepts (families) and can do (profiles), as tables."""
