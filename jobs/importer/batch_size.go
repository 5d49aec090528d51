package importer

const (
	// isolateAfter is how many crashes at one position make an import run alone
	// in its process.
	isolateAfter = 2
	// quarantineAfter is how many crashes at one position make the row there
	// fail unread. By then the row has been in a batch of its own for several
	// attempts, whatever BatchRows is.
	quarantineAfter = 8
	// shrinkFactor is what each crash divides a batch by.
	shrinkFactor = 10
)

// batchSizer decides how many rows the next batch has. Each crash at a position
// divides the size by ten, so the row at fault is soon alone. Batches continue
// at that size, also on other workers, until as many rows have passed as the
// batch that crashed had; only then do they grow again. So a row costs one
// crash for each size and those it causes alone, wherever it is in the file.
type batchSizer struct {
	most    int // rows without crashes
	crashes int // counted at this position
	passed  int // batches committed at this size
}

// next returns the size of the next batch.
func (c *batchSizer) next() int {
	n := c.most
	for range min(c.crashes, c.sizes()) {
		n = (n + shrinkFactor - 1) / shrinkFactor
	}
	return n
}

// sizes returns how many crashes it takes until a row is alone in its batch.
func (c *batchSizer) sizes() (n int) {
	for rows := c.most; rows > 1; rows = (rows + shrinkFactor - 1) / shrinkFactor {
		n++
	}
	return n
}

// onCommit records that a batch was committed and another one follows.
func (c *batchSizer) onCommit() {
	if c.crashes == 0 {
		return
	}
	c.crashes = min(c.crashes, max(1, c.sizes())) // the suspected row was not at fault, or has failed
	if c.passed++; c.passed == shrinkFactor {
		c.crashes, c.passed = c.crashes-1, 0
	}
}

// crashesAfterCommit is the count to store with the next batch, in case it is
// the last of this claim: the crashes it settles are dropped, and the current
// claim is counted.
func (c batchSizer) crashesAfterCommit() int {
	if c.onCommit(); c.crashes == 0 {
		return 0
	}
	return c.crashes + 1
}
