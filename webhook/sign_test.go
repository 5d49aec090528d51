package webhook_test

import (
	"errors"
	"regexp"
	"testing"
	"time"

	"rollcall/webhook"
)

// TestSign compares a signature with the example in the tests of the Standard
// Webhooks libraries.
func TestSign(t *testing.T) {
	t.Parallel()
	got, err := webhook.Sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
		time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	one, two := webhook.NewSecret(), webhook.NewSecret()
	if one == two || !regexp.MustCompile(`^whsec_[A-Za-z0-9+/]{43}=$`).MatchString(one) {
		t.Errorf("%s, %s", one, two)
	}
	for _, text := range []string{"", "whsec_", "whsec_*", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"} {
		if _, err := webhook.Sign(text, "msg_1", time.Unix(0, 0), nil); !errors.Is(err, webhook.ErrSecret) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
