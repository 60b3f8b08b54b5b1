package optim

// UseGraphs makes an optimizer update its parameters in graphs, as on a GPU.
func (o *AdamW) UseGraphs() error {
	o.inPlace = false
	return o.plan()
}

// InPlace reports whether an optimizer updates its parameters in place.
func (o *AdamW) InPlace() bool { return o.inPlace }
