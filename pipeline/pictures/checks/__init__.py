"""Is the picture right? Checks of one answer, before its edit counts as succeeded.

`run.run_checks` runs what `settings` name on one picture and returns a `CheckResult` for each;
`likeness` remembers what a run's pictures look like; `custom` loads checks of the user's own.
Everything here is synchronous and for threads; all but `values` and `settings` load NumPy.
"""
