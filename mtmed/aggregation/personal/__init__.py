"""Personal parameters, one file each: what a site keeps of its own instead of the global model's. A module offers
`Personal`."""
