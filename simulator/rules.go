package simulator

// Rules are the options of a product: where the source document contradicts itself
// or later documents changed a rule, it is the default and the other is an option
// (protocol section 10, "now").
type Rules struct {
	// OneDynamic allows one dynamic batch of a package instead of one for each of its
	// source versions (the document says both; P22).
	OneDynamic bool
	// NeedProgress wants progress 100 beside the target version for a success (P45).
	NeedProgress bool
	// TaskPerModule lets a device have a task of each of its modules at a time (P24).
	TaskPerModule bool
	// TolerateSource has a report of the source version mean nothing to a task that is
	// upgrading: devices report it again when they connect again (P48).
	TolerateSource bool
	// TimeoutOnce counts the timeout from the first progress of the first attempt, and
	// wants the retry interval to be shorter (P37).
	TimeoutOnce bool
	// NowLimits are the limits of later documents: more suffixes of package files (P3),
	// CSV lists of 1,000,000 rows (P29), a device matches a dynamic batch at most 10
	// times, a gateway has 2,000 sub-devices and logs 50 in at once.
	NowLimits bool

	// Registration gives a registered device its secret for the product's, until it has
	// signed in for the first time; NewRegistration lets a device that is not registered
	// do so, and gives it a token (protocol section 1).
	Registration, NewRegistration bool
}

// RulesNow are the rules as the documents have them now.
func RulesNow() Rules {
	return Rules{TaskPerModule: true, TolerateSource: true, TimeoutOnce: true, NowLimits: true}
}

func (r Rules) suffixes() []string {
	if r.NowLimits {
		return SuffixesNow()
	}
	return Suffixes()
}

func (r Rules) maxTargets() int {
	if r.NowLimits {
		return MaxTargetsNow
	}
	return MaxTargets
}

func (cmd SetRules) apply(c *Cloud, _ Stamp) (any, error) {
	p, err := c.product("Product", cmd.Product)
	if err != nil {
		return nil, err
	}
	if p.Rules == cmd.Rules {
		return p.Product, nil
	}
	c.editProduct(p).Rules = cmd.Rules
	for _, j := range c.sortedRunning() {
		if j.product == p {
			for _, t := range j.sortedTasks() {
				c.place(t) // its timeout may be another one now
			}
		}
	}
	return p.Product, nil
}
