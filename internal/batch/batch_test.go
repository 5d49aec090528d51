package batch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/batch"
)

// TestBatches: requests submitted together are committed together, up to
// MaxSize; the first waits for more, but not once all that are expected have
// come.
func TestBatches(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		expected func() int
		items    int
		batches  []int
		took     time.Duration
	}{
		"waits for more":         {nil, 3, []int{3}, time.Second},
		"full":                   {nil, 5, []int{5}, 0},
		"more than one":          {nil, 7, []int{5, 2}, time.Second},
		"no others are expected": {func() int { return 2 }, 2, []int{2}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var sizes []int
				refused := errors.New("refused")
				b := batch.New(batch.Config[int]{MaxSize: 5, MaxDelay: time.Second, Expected: test.expected,
					Commit: func(_ context.Context, all []batch.Request[int]) {
						sizes = append(sizes, len(batch.Items(all)))
						for _, r := range all {
							r.Done(refused)
						}
					}})
				ctx, cancel := context.WithCancel(t.Context())
				var running, asking sync.WaitGroup
				began := time.Now()
				for i := range test.items {
					asking.Go(func() {
						if err := b.Do(ctx, i); err != refused {
							t.Errorf("item %d: %v", i, err)
						}
					})
				}
				synctest.Wait()
				running.Go(func() { b.Run(ctx) })
				asking.Wait()
				if took := time.Since(began); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
				cancel()
				running.Wait()
				if len(sizes) != len(test.batches) {
					t.Fatalf("batches of %v, want %v", sizes, test.batches)
				}
				for i, want := range test.batches {
					if sizes[i] != want {
						t.Errorf("batches of %v, want %v", sizes, test.batches)
					}
				}
			})
		})
	}
}

// TestSubmitAfterTheEnd: if no Run is committing, done receives the context's
// error.
func TestSubmitAfterTheEnd(t *testing.T) {
	t.Parallel()
	b := batch.New(batch.Config[int]{MaxSize: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.Submit(ctx, 1, func(error) { t.Error("answered, and there was room") })
	var err error
	b.Submit(ctx, 2, func(e error) { err = e })
	if !errors.Is(err, context.Canceled) || !errors.Is(b.Do(ctx, 3), context.Canceled) {
		t.Errorf("%v", err)
	}
}
