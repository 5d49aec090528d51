package main

import (
	"bytes"
	"encoding/json"
	"runtime/debug"
	"testing"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8", Path: "rollcall/cmd/api", Main: debug.Module{Path: "rollcall", Version: "(devel)"},
		Deps: []*debug.Module{
			{Path: "example.com/a", Version: "v1.2.3+incompatible", Sum: "h1:abc="},
			{Path: "example.com/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v2.0.0"}},
		},
	}
	var out bytes.Buffer
	if err := write(&out, info); err != nil {
		t.Fatal(err)
	}
	var b bom
	if err := json.Unmarshal(out.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	if b.Format != "CycloneDX" || b.Metadata.Component.Name != "rollcall/cmd/api" || len(b.Components) != 3 {
		t.Fatalf("%s", out.Bytes())
	}
	want := []string{"pkg:golang/std@1.26.8", "pkg:golang/example.com/a@v1.2.3%2Bincompatible", "pkg:golang/example.com/fork@v2.0.0"}
	for i, c := range b.Components {
		if c.PURL != want[i] || c.Ref != want[i] {
			t.Errorf("component %+v, want %s", c, want[i])
		}
	}
	if p := b.Components[1].Properties; len(p) != 1 || p[0].Value != "h1:abc=" {
		t.Errorf("checksum %v", p)
	}
}
