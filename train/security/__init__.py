"""What protection costs, what attacks do and what defences win back, measured: ``qfl security``."""
