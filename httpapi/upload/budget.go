package upload

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"rollcall/httpapi/problem"
	"rollcall/roster"
	"rollcall/storage"
)

// budget tells what is left of a caller's bytes for the day, and is a problem if
// the file is sure to be more.
func (rc *Receiver) budget(h http.Header, r *http.Request, who roster.Actor) (left storage.UploadBudget, err error) {
	daily := rc.limits.DailyBytes
	if daily == 0 {
		return left, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), rc.limits.Store)
	defer cancel()
	if left, err = rc.store.UploadBudget(ctx, who, daily); err != nil {
		return left, err
	}
	// Beside the limit on how many uploads there may be: each field is a list.
	h.Add("RateLimit-Policy", fmt.Sprintf(`"upload-bytes";q=%d;w=86400;qu="content-bytes"`, daily))
	h.Add("RateLimit", fmt.Sprintf(`"upload-bytes";r=%d;t=%d`, left.Left, int(left.Reset.Seconds())))
	if left.Left == 0 || r.ContentLength-overhead > left.Left {
		return left, overBudget(left)
	}
	return left, nil
}

func overBudget(left storage.UploadBudget) error {
	return problem.New(problem.TooManyRequests, "This token may upload only %d more bytes today. Wait for the time in Retry-After, when a new day begins (UTC).", left.Left).
		RetryAfter(max(time.Second, left.Reset))
}
