package simulator

func (cmd ConfirmTasks) apply(*Cloud, Stamp) (any, error) {
	return nil, fail(Refused, "Tasks", "not built yet")
}

func (cmd ReupgradeTasks) apply(*Cloud, Stamp) (any, error) {
	return nil, fail(Refused, "Tasks", "not built yet")
}

func (cmd UpdateJob) apply(*Cloud, Stamp) (any, error) {
	return nil, fail(Refused, "Job", "not built yet")
}
