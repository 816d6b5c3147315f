"""What people look at, without torch: tables for the terminal, Plotly figures, the report."""
