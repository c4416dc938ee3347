using FastShare.Transport.Requests.Internal;

namespace FastShare.Transport.Tests.Requests;

public sealed class IndexedHeapTests
{
    private sealed class Item(int key)
    {
        public int Key = key;
        public int Place = -1;
    }

    private readonly struct ByKey : IHeapOrder<Item>
    {
        public static bool IsBefore(Item a, Item b) => a.Key < b.Key;

        public static ref int Place(Item item) => ref item.Place;
    }

    [Fact]
    public void Items_come_out_by_key_whatever_was_added_moved_and_taken_out()
    {
        var random = new Random(7);
        var heap = new IndexedHeap<Item, ByKey>();
        var items = new List<Item>();
        for (int step = 0; step < 20_000; step++)
        {
            switch (random.Next(4))
            {
                case 0 or 1 when items.Count < 300:
                    var added = new Item(random.Next(1000));
                    items.Add(added);
                    heap.Add(added);
                    break;
                case 2 when items.Count > 0:
                    Item moved = items[random.Next(items.Count)];
                    moved.Key = random.Next(1000);
                    heap.Update(moved);
                    break;
                case 3 when items.Count > 0:
                    Item removed = items[random.Next(items.Count)];
                    items.Remove(removed);
                    heap.Remove(removed);
                    heap.Remove(removed);
                    Assert.False(IndexedHeap<Item, ByKey>.Contains(removed));
                    break;
            }

            Assert.Equal(items.Count, heap.Count);
            Assert.Equal(items.Count == 0 ? null : items.Min(i => i.Key), heap.First?.Key);
        }

        var order = new List<int>();
        while (heap.First is { } first)
        {
            order.Add(first.Key);
            heap.Remove(first);
        }

        Assert.Equal(order.Order(), order);
        Assert.Equal(items.Count, order.Count);
    }
}
