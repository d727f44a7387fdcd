"""Orders, one file each: who trains after whom in a round. A module offers `Order`."""
