package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"rollcall/cli/termtext"
)

func newMan(console Console) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write the manual pages",
		Long: `Writes one manual page for each command into an existing directory. Install them
where man looks for section 1.`,
		Example: "  rollcall man /usr/local/share/man/man1 && man rollcall-import",
		Args:    exactArgs("DIRECTORY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := os.Stat(args[0])
			if err != nil {
				return readable(err, args[0])
			}
			if !info.IsDir() {
				return fmt.Errorf("%s is not a directory", termtext.Sanitize(args[0]))
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // so that the same program writes the same pages
			head := &doc.GenManHeader{Section: "1", Source: "Rollcall", Manual: "Rollcall"}
			if err := doc.GenManTree(root, head, args[0]); err != nil {
				return fmt.Errorf("write the manual pages: %w", err)
			}
			_, err = fmt.Fprintf(console.Stdout, "Manual pages written to %s.\n", termtext.Sanitize(args[0]))
			return err
		},
	}
}
