"""`make soak`: a fleet under churn for half an hour, and whether any process of it grows."""
