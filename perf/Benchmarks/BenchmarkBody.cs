using System.Linq.Expressions;
using System.Reflection;
using System.Runtime.CompilerServices;
using BenchmarkDotNet.Attributes;

namespace FastShare.Benchmarks;

/// <summary>One benchmark method with one set of parameters, to be run without BenchmarkDotNet.</summary>
/// <param name="Name">Class, method and parameters: <c>NoiseBenchmarks.Seal(Cipher=AESGCM)</c>.</param>
/// <param name="Type">The class.</param>
/// <param name="Method">The method.</param>
/// <param name="Parameters">What its properties are set to.</param>
internal sealed record BenchmarkBody(string Name, Type Type, MethodInfo Method, IReadOnlyList<(PropertyInfo Property, object? Value)> Parameters)
{
    // Enough that what the tiers of compilation and growing buffers allocate is over, and that one more byte a call shows.
    private const int WarmUp = 300, Calls = 300, Windows = 5;

    /// <summary>All of this program.</summary>
    public static IEnumerable<BenchmarkBody> All() =>
        from type in typeof(BenchmarkBody).Assembly.GetTypes()
        from method in type.GetMethods()
        where method.GetCustomAttribute<BenchmarkAttribute>() is not null
        from parameters in Combinations([.. type.GetProperties().Where(p => p.GetCustomAttribute<ParamsAttribute>() is not null)])
        select new BenchmarkBody(NameOf(type, method, parameters), type, method, parameters);

    /// <summary>
    /// The least of several windows: collections and the runtime's own threads allocate now and then, what the body allocates shows in
    /// every window. Of a synchronous body what its thread allocates counts, of others what the process does.
    /// </summary>
    public async Task<double> AllocatedPerOperationAsync()
    {
        object instance = Activator.CreateInstance(Type)!;
        foreach ((PropertyInfo property, object? value) in Parameters) property.SetValue(instance, value);
        await RunMarkedAsync<GlobalSetupAttribute>(instance);
        Expression call = Expression.Call(Expression.Constant(instance), Method);
        long least = long.MaxValue;
        if (IsAwaitable)
        {
            Func<ValueTask> body = Awaited(call);
            await RunAsync(body, WarmUp);
            for (int window = 0; window < Windows; window++)
            {
                long before = GC.GetTotalAllocatedBytes(precise: true);
                await RunAsync(body, Calls);
                least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
            }
        }
        else
        {
            Action body = Expression.Lambda<Action>(call).Compile();
            Run(body, WarmUp);
            for (int window = 0; window < Windows; window++)
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                Run(body, Calls);
                least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
            }
        }

        await RunMarkedAsync<GlobalCleanupAttribute>(instance);
        return (double)least / Calls / Method.GetCustomAttribute<BenchmarkAttribute>()!.OperationsPerInvoke;
    }

    private bool IsAwaitable => Method.ReturnType.GetMethod(nameof(Task.GetAwaiter)) is not null;

    private static void Run(Action body, int calls)
    {
        for (int i = 0; i < calls; i++) body();
    }

    private static async Task RunAsync(Func<ValueTask> body, int calls)
    {
        for (int i = 0; i < calls; i++) await body();
    }

    // Allocates nothing itself where the body completes at once, and where it does not what awaiting it costs anyone.
    private Func<ValueTask> Awaited(Expression call)
    {
        if (Method.ReturnType == typeof(ValueTask)) return Expression.Lambda<Func<ValueTask>>(call).Compile();
        if (typeof(Task).IsAssignableFrom(Method.ReturnType))
            return Expression.Lambda<Func<ValueTask>>(Expression.New(typeof(ValueTask).GetConstructor([typeof(Task)])!, call)).Compile();
        MethodInfo discard = typeof(BenchmarkBody).GetMethod(nameof(DiscardAsync), BindingFlags.NonPublic | BindingFlags.Static)!;
        return Expression.Lambda<Func<ValueTask>>(Expression.Call(discard.MakeGenericMethod(Method.ReturnType.GenericTypeArguments), call)).Compile();
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private static async ValueTask DiscardAsync<T>(ValueTask<T> result) => await result;

    private static async Task RunMarkedAsync<TAttribute>(object instance)
        where TAttribute : Attribute
    {
        foreach (MethodInfo method in instance.GetType().GetMethods().Where(method => method.GetCustomAttribute<TAttribute>() is not null))
        {
            if (method.Invoke(instance, null) is Task task) await task;
        }
    }

    private static IEnumerable<IReadOnlyList<(PropertyInfo, object?)>> Combinations(PropertyInfo[] properties) => properties.Aggregate(
        Enumerable.Repeat<IReadOnlyList<(PropertyInfo, object?)>>([], 1),
        (sets, property) => sets.SelectMany(
            set => property.GetCustomAttribute<ParamsAttribute>()!.Values, (set, value) => (IReadOnlyList<(PropertyInfo, object?)>)[.. set, (property, value)]));

    private static string NameOf(Type type, MethodInfo method, IReadOnlyList<(PropertyInfo Property, object? Value)> parameters)
    {
        string values = string.Join(", ", parameters.Select(parameter => $"{parameter.Property.Name}={parameter.Value}"));
        return $"{type.Name}.{method.Name}{(values.Length > 0 ? $"({values})" : "")}";
    }
}
