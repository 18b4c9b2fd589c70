"""The cost model: what a connection costs in memory and CPU, measured on real fleets and fitted.
`make cost-model`."""
