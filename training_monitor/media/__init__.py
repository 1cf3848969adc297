"""What a run shows beside numbers, as files. The one place that touches NumPy and Pillow: extra ``media``."""
