package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"rollcall/cli/terminal"
)

func newMan(console Console) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write the manual pages, one for each command",
		Long: `Writes the manual pages of this program and of each of its commands into a
directory, which must be there. Put them where man looks for section 1.`,
		Example: "  rollcall man /usr/local/share/man/man1 && man rollcall-import",
		Args:    takes("DIRECTORY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := os.Stat(args[0])
			if err != nil {
				return readable(err, args[0])
			}
			if !info.IsDir() {
				return fmt.Errorf("%s is not a directory", terminal.Visible(args[0]))
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // the same program writes the same pages
			head := &doc.GenManHeader{Section: "1", Source: "Rollcall", Manual: "Rollcall"}
			if err := doc.GenManTree(root, head, args[0]); err != nil {
				return fmt.Errorf("write the manual pages: %w", err)
			}
			_, err = fmt.Fprintf(console.Stdout, "The manual pages are in %s.\n", terminal.Visible(args[0]))
			return err
		},
	}
}
