namespace FastShare.Transport.Requests.Internal;

/// <summary>The order of an <see cref="IndexedHeap{T, TOrder}"/>, and where its items remember their place in it.</summary>
internal interface IHeapOrder<T>
{
    /// <summary>Whether <paramref name="a"/> comes out before <paramref name="b"/>.</summary>
    static abstract bool IsBefore(T a, T b);

    /// <summary>The item's place in the heap; −1: it is not in it. The heap's alone.</summary>
    static abstract ref int Place(T item);
}

/// <summary>
/// A binary heap whose items know their places, so that one can be taken out of the middle, or moved when its key has changed, in
/// logarithmic time: requests leave by being cancelled as often as by being first. Not thread-safe.
/// </summary>
internal sealed class IndexedHeap<T, TOrder>
    where T : class
    where TOrder : IHeapOrder<T>
{
    private readonly List<T> _items = [];

    public int Count => _items.Count;

    /// <summary>The first item; null if there is none.</summary>
    public T? First => _items.Count > 0 ? _items[0] : null;

    /// <summary>Every item, in no order; the heap must not change meanwhile.</summary>
    public IReadOnlyList<T> Items => _items;

    public static bool Contains(T item) => TOrder.Place(item) >= 0;

    public void Add(T item)
    {
        _items.Add(item);
        TOrder.Place(item) = _items.Count - 1;
        Rise(_items.Count - 1);
    }

    /// <summary>Takes an item out; nothing happens if it is not in.</summary>
    public void Remove(T item)
    {
        int place = TOrder.Place(item);
        if (place < 0) return;
        TOrder.Place(item) = -1;
        T last = _items[^1];
        _items.RemoveAt(_items.Count - 1);
        if (last == item) return;
        _items[place] = last;
        TOrder.Place(last) = place;
        Settle(place);
    }

    /// <summary>Moves an item, whose key has changed, to where it belongs.</summary>
    public void Update(T item) => Settle(TOrder.Place(item));

    private void Settle(int place)
    {
        if (!Rise(place)) Sink(place);
    }

    private bool Rise(int place)
    {
        int start = place;
        T item = _items[place];
        while (place > 0)
        {
            int parent = (place - 1) / 2;
            if (!TOrder.IsBefore(item, _items[parent])) break;
            Put(place, _items[parent]);
            place = parent;
        }

        Put(place, item);
        return place != start;
    }

    private void Sink(int place)
    {
        T item = _items[place];
        while (true)
        {
            int child = 2 * place + 1;
            if (child >= _items.Count) break;
            if (child + 1 < _items.Count && TOrder.IsBefore(_items[child + 1], _items[child])) child++;
            if (!TOrder.IsBefore(_items[child], item)) break;
            Put(place, _items[child]);
            place = child;
        }

        Put(place, item);
    }

    private void Put(int place, T item)
    {
        _items[place] = item;
        TOrder.Place(item) = place;
    }
}
