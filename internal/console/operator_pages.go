package console

// addOperatorPages adds the pages on which an operator changes something.
func (c *Console) addOperatorPages() {
	c.page("needs", "needs", c.needsPage)
	c.page("purchases/{id}/settle", "settle", c.settlePage)
	c.action("purchases/{id}/settle", c.settle)
	c.page("money", "money", c.moneyPage)
	c.action("money/freeze", c.freeze)
	c.action("money/thaw", c.thaw)
	if c.config.Sandbox == nil {
		return
	}
	c.page("sandbox", "sandbox", c.sandboxPage)
	c.action("sandbox/play", c.playScenario)
	c.action("sandbox/faults", c.armFault)
	c.action("sandbox/repair", c.repair)
	c.action("sandbox/clock", c.moveClock)
	c.action("sandbox/connect", c.connectESIM)
	c.action("sandbox/use", c.useData)
}
