package simulator

func (cmd CreateDynamicJob) apply(*Cloud, Stamp) (any, error) {
	return nil, fail(Refused, "Package", "dynamic batches are not built yet")
}

func (cmd CancelStrategyByJob) apply(*Cloud, Stamp) (any, error) {
	return nil, fail(Refused, "Job", "dynamic batches are not built yet")
}
