"""What people look at, without torch: the dashboard, tables for the terminal, Plotly figures, the report."""

import logging

# a server says where its log goes (server/serving.py); a command that prints its error would print it twice
logging.getLogger(__name__).addHandler(logging.NullHandler())
