"""Known answers, published scenarios, and the bench beside the wall clock."""
