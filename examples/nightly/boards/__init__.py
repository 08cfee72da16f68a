"""The six dashboards: one file says what stands on one page and how it is drawn."""
