using FastShare.Cli.Hosting;

return await CommandLine.RunAsync(args);
