"""What the pages call and colour the same: airports, days, months."""

from __future__ import annotations

import charts as ink

AIRPORTS = ("EWR", "JFK", "LGA")
AIRPORT_COLOURS = {"EWR": ink.ACCENT, "JFK": ink.SECOND, "LGA": ink.THIRD}
AIRPORT_KEY = [("Newark", "--accent"), ("Kennedy", "--second"), ("LaGuardia", "--third")]
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
