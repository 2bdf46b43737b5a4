"""The figures of a scan: its networks judged, summarised, and as curves against t and λ."""
