package storage

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lib/pq"
)

// headStart is how long the host that connected last is asked alone.
const headStart = 300 * time.Millisecond

// hosts connects to the one of several hosts that can be written to. The driver
// asks them in order and waits for each as long as connect_timeout says, so a
// primary that is gone without a word would take every new connection past the
// end of its context. Here the one that connected last comes first, and the
// others soon after.
type hosts struct {
	all   []*pq.Connector // at least one
	last  atomic.Int32    // index of the one that connected last
	moved func(host int)  // is told when that changes
}

// newHosts reads a connection string of the driver. If it asks for a standby,
// the order of the hosts matters, and the driver follows it.
func newHosts(dsn string) (*hosts, error) {
	cfg, err := pq.NewConfig(dsn)
	if err != nil {
		return nil, err
	}
	each := []pq.Config{cfg}
	if a := cfg.TargetSessionAttrs; a == pq.TargetSessionAttrsReadWrite || a == pq.TargetSessionAttrsPrimary {
		each[0] = cfg.Clone()
		each[0].Multi = nil
		for _, m := range cfg.Multi {
			c := cfg.Clone()
			c.Multi, c.Host, c.Hostaddr, c.Port = nil, m.Host, m.Hostaddr, m.Port
			each = append(each, c)
		}
	}
	h := &hosts{}
	for _, c := range each {
		connector, err := pq.NewConnectorConfig(c)
		if err != nil {
			return nil, err
		}
		connector.Dialer(dialer{})
		h.all = append(h.all, connector)
	}
	return h, nil
}

// connect returns the first connection that open makes to one of the hosts; if
// there is none, the errors of all.
func (h *hosts) connect(ctx context.Context, open func(ctx context.Context, host int, by *pq.Connector) (driver.Conn, error)) (driver.Conn, error) {
	if len(h.all) == 1 {
		return open(ctx, 0, h.all[0])
	}
	type attempt struct {
		host int
		conn driver.Conn
		err  error
	}
	attempts := make(chan attempt, len(h.all))
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	try := func(host int) {
		wg.Go(func() {
			conn, err := open(ctx, host, h.all[host])
			attempts <- attempt{host, conn, err}
		})
	}
	defer func() { // who came second is told to stop, or closed
		cancel()
		wg.Wait()
		for close(attempts); len(attempts) > 0; {
			if a := <-attempts; a.err == nil {
				_ = a.conn.Close()
			}
		}
	}()
	first := int(h.last.Load())
	try(first)
	alone := true
	others := func() {
		for host := range h.all {
			if alone && host != first {
				try(host)
			}
		}
		alone = false
	}
	late := time.NewTimer(headStart)
	defer late.Stop()
	var errs []error
	for len(errs) < len(h.all) {
		select {
		case <-late.C:
			others()
		case a := <-attempts:
			if a.err == nil {
				if int(h.last.Swap(int32(a.host))) != a.host {
					h.moved(a.host)
				}
				return a.conn, nil
			}
			errs = append(errs, a.err)
			others()
		}
	}
	return nil, errors.Join(errs...)
}
