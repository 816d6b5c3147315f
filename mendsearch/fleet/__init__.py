"""Workers of a search, on one machine or many.

`worker` is one of them. It downloads the `bundle` of its search, after checking `compatibility` with the creator, and
stops on signals. When the trials are done it climbs the `ladder`, with a `tuner` where the data is. `launch` starts
many; `local_workers` starts those of `run --workers`.
"""
