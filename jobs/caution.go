package jobs

const (
	// crashesBeforeAlone is how often an import must have crashed at one place
	// to be worked on with no other beside it.
	crashesBeforeAlone = 2
	// crashesBeforeRefusal is how often it must have for the row there to be
	// refused unread: by then the row stood alone for a while, whatever
	// BatchRows is.
	crashesBeforeRefusal = 8
	// parts is what each crash divides a batch by.
	parts = 10
)

// caution says how many rows the next batch has. Each crash at this place
// divides it by ten, so that soon the row at fault stands alone. Batches that
// commit go on at that size, whoever commits them, until as many rows are passed
// as were in the batch that crashed; only then do they grow again. So a row costs
// one crash for each size and those it has alone, wherever it stands.
type caution struct {
	most    int // rows in good times
	crashes int // counted at this place
	passed  int // batches committed at this size
}

// rows is the size of the next batch.
func (c *caution) rows() int {
	n := c.most
	for range min(c.crashes, c.sizes()) {
		n = (n + parts - 1) / parts
	}
	return n
}

// sizes is how many crashes it takes until a row stands alone.
func (c *caution) sizes() (n int) {
	for rows := c.most; rows > 1; rows = (rows + parts - 1) / parts {
		n++
	}
	return n
}

// committed tells of a batch that the next one follows.
func (c *caution) committed() {
	if c.crashes == 0 {
		return
	}
	c.crashes = min(c.crashes, max(1, c.sizes())) // the row that was suspect was not at fault, or is refused
	if c.passed++; c.passed == parts {
		c.crashes, c.passed = c.crashes-1, 0
	}
}

// after is what is to be counted once the next batch is committed, should nothing
// follow it: what is over by then, and the claim that came to nothing more.
func (c caution) after() int {
	if c.committed(); c.crashes == 0 {
		return 0
	}
	return c.crashes + 1
}
