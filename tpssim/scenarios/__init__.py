"""What a run is made against: service, consumer, disturbances and load."""
