"""Every question to a study database, one subject a file; pages, figures and commands format the answers.

All functions take a `Snapshot` and run in one round trip, or in a few where that is said. They work with any role that
may read the tables, and with databases that hold only the tables of stock Optuna. What people count is defined once:

- *done*: `pace.py` and `searches.py` ask `mend_done` for a search, which leaves out trials of a stock optimizer; for a
  study of stock Optuna it is the number of trials that ended with a score.
- *best*: `best.py`, over complete trials with a finite score.
- *alive*: `workers.py`, a worker that renewed within a lease and whose process is not known to have ended.
"""
