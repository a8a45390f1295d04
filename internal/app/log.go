package app

import (
	"errors"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// LogLevel is a log level by one of Lambda's names. The zero LogLevel is INFO.
type LogLevel slog.Level

// UnmarshalText takes Lambda's six names.
func (l *LogLevel) UnmarshalText(text []byte) error {
	level, ok := map[string]slog.Level{
		"TRACE": slog.LevelDebug - 4, "DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo,
		"WARN": slog.LevelWarn, "ERROR": slog.LevelError, "FATAL": slog.LevelError + 4,
	}[string(text)]
	if !ok {
		return errors.New("must be TRACE, DEBUG, INFO, WARN, ERROR or FATAL")
	}
	*l = LogLevel(level)
	return nil
}

// newLogger logs JSON in Lambda's form, which its console and its log level filter understand.
func newLogger(level slog.Leveler) *slog.Logger {
	options := slog.HandlerOptions{Level: level, ReplaceAttr: lambdacontext.ReplaceAttr}
	return slog.New(slog.NewJSONHandler(os.Stdout, &options))
}
