using System.Net;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>
/// What to say on one link and when: announcements, answers (delayed, merged, at most one a second each; always by multicast, so
/// that everyone learns and nobody can aim an answer at a third party), goodbye. Not thread-safe.
/// </summary>
internal sealed class MdnsResponder
{
    private const int Announcements = 2; // RFC 6762, 8.3

    // Each question is compared with each known answer; real queries ask one to four.
    private const int MaxQuestions = 16;

    private readonly Random _random;
    private readonly TimeSpan[] _lastSent = new TimeSpan[MdnsRecords.ReplyCount];
    private readonly Pending[] _pending = new Pending[MdnsRecords.ReplyCount];
    private MdnsRecords? _records;
    private int _announcementsLeft;
    private TimeSpan _nextAnnouncement = MdnsTimes.Never;

    // Asker: the only host that waits for it; null when several do.
    private record struct Pending(TimeSpan Due, IPEndPoint? Asker);

    public MdnsResponder(Random random)
    {
        _random = random;
        Array.Fill(_lastSent, -MdnsTimes.Never);
        Array.Fill(_pending, new Pending(MdnsTimes.Never, null));
    }

    /// <summary>What is announced on the link; null: nothing.</summary>
    public MdnsRecords? Records => _records;

    /// <summary>When <see cref="Advance"/> has something to do.</summary>
    public TimeSpan Due
    {
        get
        {
            TimeSpan due = _nextAnnouncement;
            foreach (Pending pending in _pending) due = MdnsTimes.Min(due, pending.Due);
            return due;
        }
    }

    /// <summary>Replaces the records and announces the new ones, or takes the service back when there are none any more.</summary>
    public void SetRecords(TimeSpan now, MdnsRecords? records, Action<byte[]> send)
    {
        if (records is null && _records is not null) send(_records.Goodbye);
        _records = records;
        Array.Fill(_pending, new Pending(MdnsTimes.Never, null));
        _announcementsLeft = records is null ? 0 : Announcements;
        _nextAnnouncement = records is null
            ? MdnsTimes.Never
            : MdnsTimes.Max(now + MdnsTimes.ShortDelay(_random), _lastSent[(int)MdnsReply.Service] + MdnsTimes.Second);
    }

    /// <summary>Schedules answers to a query, or drops a scheduled one that its sender turns out to know.</summary>
    public void Heard(TimeSpan now, IPEndPoint asker, DnsMessage query)
    {
        if (_records is null) return;
        if (query.Questions.Count == 0)
        {
            for (int i = 0; i < _pending.Length; i++)
            {
                if (asker.Equals(_pending[i].Asker) && _records.IsKnown((MdnsReply)i, query.Answers))
                    _pending[i] = new Pending(MdnsTimes.Never, null);
            }

            return;
        }

        foreach (DnsQuestion question in query.Questions.Take(MaxQuestions))
        {
            if (_records.Answer(question, query.Answers) is { } reply) Schedule(now, asker, reply, query.IsTruncated);
        }
    }

    /// <summary>Sends what is due.</summary>
    public void Advance(TimeSpan now, Action<byte[]> send)
    {
        if (_records is null) return;
        if (_nextAnnouncement <= now)
        {
            Send(now, MdnsReply.Service, send);
            _nextAnnouncement = --_announcementsLeft > 0 ? now + MdnsTimes.Second : MdnsTimes.Never;
        }

        for (int i = 0; i < _pending.Length; i++)
        {
            if (_pending[i].Due <= now) Send(now, (MdnsReply)i, send);
        }
    }

    private void Schedule(TimeSpan now, IPEndPoint asker, MdnsReply reply, bool moreKnownAnswersFollow)
    {
        TimeSpan delay = moreKnownAnswersFollow ? MdnsTimes.TruncatedDelay(_random)
            : reply is MdnsReply.Service or MdnsReply.Enumeration ? MdnsTimes.ShortDelay(_random)
            : TimeSpan.Zero; // records that only this node holds: nobody else's answer can collide
        TimeSpan due = MdnsTimes.Max(now + delay, _lastSent[(int)reply] + MdnsTimes.Second);
        ref Pending pending = ref _pending[(int)reply];
        bool alone = pending.Due == MdnsTimes.Never || asker.Equals(pending.Asker);
        pending = new Pending(MdnsTimes.Min(pending.Due, due), alone ? asker : null);
    }

    private void Send(TimeSpan now, MdnsReply reply, Action<byte[]> send)
    {
        send(_records!.Packet(reply));
        Done(reply);
        if (reply == MdnsReply.Service) // it carries these too
        {
            Done(MdnsReply.Instance);
            Done(MdnsReply.Host);
        }

        void Done(MdnsReply sent)
        {
            _lastSent[(int)sent] = now;
            _pending[(int)sent] = new Pending(MdnsTimes.Never, null);
        }
    }
}
