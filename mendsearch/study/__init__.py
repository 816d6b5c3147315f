"""A search as an Optuna study: the loop of trials, in memory or in a database that many workers share.

`loop` takes candidates from a source and records their scores. `memory` and `fleet` are the two sources. `registration`
enters a search in a database, with the `description` that dashboards show; `worker` runs its trials in this process;
`running` runs a study to its end; `winner` chooses among its candidates.
"""
