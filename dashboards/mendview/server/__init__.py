"""The dashboard as one WSGI application: Optuna Dashboard, our pages, and the gate before both."""
