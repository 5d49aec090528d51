package web

import (
	"context"
	"sync"
	"time"

	"rollcall/storage"
)

const (
	// onboardingFreshFor is how long counts are shown without asking again, at
	// least.
	onboardingFreshFor = 2 * time.Second
	// onboardingShare bounds what counting takes: a tenth of the time of one
	// connection, however many pages are open.
	onboardingShare = 10
	// onboardingScopes is how many different counts are kept.
	onboardingScopes = 64
)

// onboardingCache counts for all open pages of a scope at once: counting a million
// people takes a second.
type onboardingCache struct {
	store *storage.Store

	mu     sync.Mutex
	counts map[storage.OnboardingScope]*onboardingCount
}

// onboardingCount is one count. Its lock is held while counting.
type onboardingCount struct {
	mu    sync.Mutex
	until time.Time
	value storage.Onboarding
}

// read returns counts that are fresh enough.
func (k *onboardingCache) read(ctx context.Context, scope storage.OnboardingScope) (storage.Onboarding, error) {
	n := k.of(scope)
	n.mu.Lock()
	defer n.mu.Unlock()
	began := time.Now()
	if began.Before(n.until) {
		return n.value, nil
	}
	value, err := k.store.Onboarding(ctx, scope, listedDepartments)
	if err != nil {
		return value, err
	}
	now := time.Now()
	n.value, n.until = value, now.Add(max(onboardingFreshFor, onboardingShare*now.Sub(began)))
	return value, nil
}

// of returns the entry of a scope, in place of any other if there are too many.
func (k *onboardingCache) of(scope storage.OnboardingScope) *onboardingCount {
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := k.counts[scope]; n != nil {
		return n
	}
	for other := range k.counts {
		if len(k.counts) < onboardingScopes {
			break
		}
		delete(k.counts, other)
	}
	n := &onboardingCount{}
	k.counts[scope] = n
	return n
}
