"""Dashboard, tables for the terminal, Plotly figures and the report, all without torch."""

import logging

# a server says where its log goes (server/serving.py); a command that prints its error would print it twice
logging.getLogger(__name__).addHandler(logging.NullHandler())
