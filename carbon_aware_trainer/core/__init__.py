"""The classes people use in their own programs."""
