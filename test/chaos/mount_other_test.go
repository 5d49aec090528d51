//go:build unix && !linux

package chaos_test

import "testing"

func mountSmall(*testing.T, string, int) bool { return false }

func unmount(string) {}

func (h *testEnv) chownLike(string, string) {}
