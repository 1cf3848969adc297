"""Trainings by other libraries, which are imported here and nowhere else in this package."""
