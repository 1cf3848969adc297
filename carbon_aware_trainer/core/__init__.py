"""What people who use the library alone hold in their hands."""
