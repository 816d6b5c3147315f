"""The dashboard as one WSGI application: Optuna Dashboard, our pages, and access control for both."""
