"""What a training cost, epoch by epoch: collected, exported and reported."""
