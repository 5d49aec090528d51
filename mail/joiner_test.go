package mail

import "testing"

// TestJoiners: joiners that Persian names and emoji need are kept in a mail,
// but don't let a link into the salutation.
func TestJoiners(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"علی\u200cرضا": "علی\u200cرضا", "👩\u200d💻 Ada": "", "Ann\u200d": "Ann", "\u200cAnn": "Ann", "Ann \u200dLee": "Ann Lee",
		"evil.e\u200cxample": "", "e\u200dvil.example": "",
	} {
		if got := salutationName(name); got != want {
			t.Errorf("%q is addressed as %q, want %q", name, got, want)
		}
	}
	if got := headerText("علی\u200cرضا", maxDisplayName); got != "علی\u200cرضا" {
		t.Errorf("in a header: %q", got)
	}
}
